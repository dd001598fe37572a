"""What people call their columns: words that tell what a column is for. None of them decides alone."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LABELS = _words(
    """label labels target click clicks clicked conversion converted convert purchase purchased bought buy ordered
    install installed attributed liked like response responded y churn churned survived default subscribed"""
)
RATINGS = _words("rating ratings stars score")
LOOKS = _words("pv view impression show exposure")  # actions that are less than a deed
TIMES = _words("time timestamp ts date datetime day hour created seen at dt when")
WEIGHTS = _words("importance sample_weight instance_weight example_weight weight")
LISTS = _words("query search session impression auction request")  # whose rows are ranked together
USERS = _words("user users visitor member customer uid client account cookie")
ITEMS = _words("item items product movie article ad creative video song news goods book sku iid")
ROWS = _words("id uuid guid key index row no nr hash")  # numbers of rows
CODES = _words(
    """id ids uid code key type kind category cat class zip hash status version os channel app device ip weekday month
    gender sex group zone region country city site page user item product ad campaign"""
)
AMOUNTS = _words(
    """count counts num price cost amount age seconds minutes hours days duration score rate ratio qty quantity views
    size length total sum avg mean income salary balance distance weight height value revenue ctr percent pct
    temperature"""
)
