"""How the rate of gradient descent falls, as `optimizer.rates` names it: the same for steps and for single rows."""

RATES = ("constant", "inverse_sqrt", "per_coordinate")
