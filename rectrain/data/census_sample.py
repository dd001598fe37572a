"""A built-in sample of two labels a row that share factors, in the raw layout of Census-Income (KDD).

Columns are independent. The first value of a column has a share of its own; of the others the k-th has one like
1 / (k + 1). Names mean nothing: every value of a column has one number e, random, of mean 0 and standard deviation 1
over the column. A factor sums up several columns to one number of the same mean and deviation, and a label is 1 with

    f_s      = sum over the columns c of factor s of e_c / sqrt(how many they are)
    P_k(1)   = sigmoid(  bias_k + sum_s weight_ks f_s + product_k f_standing f_work + sum_c own_kc e_c)

where all columns but those of FACTORS and of OWN tell nothing. Both labels listen to both factors, so what one of them
teaches about the numbers of a factor's values helps the other; they do so with weights of opposite sign, so that few
rows are both. Given its row the two labels are drawn independently. A model that adds up one weight a value cannot see
the product.

What a sample tells of itself (SampleInfo) has room for the best AUC of a single label, and a report writes it beside
each task: here it stays null, and so do log loss and base rate. `draw_rows` gives the probabilities of both labels.

Letters: N rows, V values of one column, K = 2 labels.
"""

import math
from dataclasses import dataclass

import numpy as np

from rectrain.data.behaviour_sample import DrawnLog, LogLayout, to_csv
from rectrain.data.behaviour_truths import sigmoid
from rectrain.data.planted import draw_positions, intercept, standardize


@dataclass(frozen=True)
class Column:
    name: str
    texts: tuple[str, ...]  # as the file has them after the delimiter, with the blank that begins all but the first
    first: float  # share of the first of them

    def shares(self) -> np.ndarray:
        weights = 1 / (np.arange(len(self.texts) - 1) + 2.0)
        return np.append(self.first, weights * ((1 - self.first) / weights.sum()))


def _texts(joined: str) -> tuple[str, ...]:
    return tuple(f" {text}" for text in joined.split("; "))


def _numbers(*numbers: int) -> tuple[str, ...]:
    return tuple(f" {number}" for number in numbers)


_COUNTRIES = _texts(
    "United-States; Mexico; ?; Puerto-Rico; Italy; Canada; Poland; Dominican-Republic; Germany; Cuba; Philippines; "
    "El-Salvador; China; England; Ireland; India; Columbia; Jamaica; South Korea; Guatemala; Vietnam; Greece; Japan; "
    "Ecuador; Portugal; Nicaragua; Hungary; Peru; Haiti; Scotland; Yugoslavia; Cambodia; Honduras; Iran; Taiwan; "
    "France; Outlying-U S (Guam USVI etc); Laos; Trinadad&Tobago; Thailand; Hong Kong; Holand-Netherlands; Panama"
)
_MARRIED = Column(
    "marital_status",
    _texts("Married-civilian spouse present; Divorced; Widowed; Separated; Married-spouse absent"),
    first=0.75,
)
# The file's columns in order, but for those of PLACES.
COLUMNS = (
    Column("age", tuple(str(years) for years in range(91)), first=0.02),
    Column(
        "class_of_worker",
        _texts(
            "Not in universe; Private; Self-employed-not incorporated; Local government; State government; "
            "Self-employed-incorporated; Federal government; Never worked; Without pay"
        ),
        first=0.4,
    ),
    Column("industry_code", _numbers(*range(52)), first=0.5),
    Column("occupation_code", _numbers(*range(47)), first=0.5),
    Column(
        "education",
        _texts(
            "High school graduate; Children; Some college but no degree; Bachelors degree(BA AB BS); "
            "7th and 8th grade; 10th grade; 11th grade; Masters degree(MA MS MEng MEd MSW MBA); 9th grade; "
            "Associates degree-occup /vocational; Associates degree-academic program; 5th or 6th grade; "
            "12th grade no diploma; 1st 2nd 3rd or 4th grade; Prof school degree (MD DDS DVM LLB JD); "
            "Doctorate degree(PhD EdD); Less than 1st grade"
        ),
        first=0.25,
    ),
    Column("wage_per_hour", _numbers(0, *range(300, 2000, 25)), first=0.94),
    Column("enrolled_in_education", _texts("Not in universe; High school; College or university"), first=0.7),
    Column(
        "major_industry",
        _texts(
            "Not in universe or children; Retail trade; Manufacturing-durable goods; Education; "
            "Manufacturing-nondurable goods; Construction; Finance insurance and real estate; "
            "Business and repair services; Medical except hospital; Other professional services; Transportation; "
            "Public administration; Hospital services; Wholesale trade; Personal services except private HH; "
            "Agriculture; Social services; Entertainment; Communications; Utilities and sanitary services; "
            "Private household services; Mining; Forestry and fisheries; Armed Forces"
        ),
        first=0.5,
    ),
    Column(
        "major_occupation",
        _texts(
            "Not in universe; Adm support including clerical; Professional specialty; Other service; "
            "Executive admin and managerial; Sales; Precision production craft & repair; "
            "Machine operators assmblrs & inspctrs; Transportation and material moving; Handlers equip cleaners etc ; "
            "Farming forestry and fishing; Technicians and related support; Protective services; "
            "Private household services; Armed Forces"
        ),
        first=0.3,
    ),
    Column("race", _texts("White; Black; Asian or Pacific Islander; Other; Amer Indian Aleut or Eskimo"), first=0.84),
    Column(
        "hispanic_origin",
        _texts(
            "All other; Mexican-American; Mexican (Mexicano); Central or South American; Puerto Rican; Other Spanish; "
            "Cuban; NA; Chicano; Do not know"
        ),
        first=0.86,
    ),
    Column("sex", _texts("Female; Male"), first=0.52),
    Column("union_member", _texts("Not in universe; No; Yes"), first=0.9),
    Column(
        "unemployment_reason",
        _texts("Not in universe; Other job loser; Re-entrant; Job loser - on layoff; Job leaver; New entrant"),
        first=0.97,
    ),
    Column(
        "employment",
        _texts(
            "Children or Armed Forces; Full-time schedules; Not in labor force; PT for non-econ reasons usually FT; "
            "Unemployed full-time; PT for econ reasons usually PT; Unemployed part- time; "
            "PT for econ reasons usually FT"
        ),
        first=0.6,
    ),
    Column("capital_gains", _numbers(0, 15024, 7298, 7688, 99999, 5178, 4386, 3103, 5013, 10520, 1086), first=0.8),
    Column("capital_losses", _numbers(0, 1977, 1902, 1887, 1602, 1848, 1485, 1740, 2415, 1672), first=0.98),
    Column("dividends", _numbers(0, 100, 500, 1000, 200, 50, 150, 300, 250, 2000, 1, 1500, 400, 25, 600), first=0.7),
    Column(
        "tax_filer_status",
        _texts(
            "Nonfiler; Joint both under 65; Single; Joint both 65+; Head of household; Joint one under 65 & one 65+"
        ),
        first=0.35,
    ),
    Column("previous_region", _texts("Not in universe; South; West; Midwest; Northeast; Abroad"), first=0.92),
    Column(
        "previous_state",
        _texts(
            "Not in universe; California; Utah; Florida; North Carolina; ?; Oklahoma; Indiana; Minnesota; Abroad; "
            "New Mexico; North Dakota; Michigan; Arizona; Louisiana; Alaska; Georgia; Colorado; Oregon; Kentucky"
        ),
        first=0.92,
    ),
    Column(
        "household_status",
        _texts(
            "Householder; Child <18 never marr not in subfamily; Spouse of householder; Nonfamily householder; "
            "Child 18+ never marr Not in a subfamily; Secondary individual; Other Rel 18+ ever marr not in subfamily; "
            "Grandchild <18 never marr child of subfamily RP; Other Rel 18+ never marr not in subfamily; "
            "Grandchild <18 never marr not in subfamily; Child 18+ ever marr Not in a subfamily; In group quarters"
        ),
        first=0.3,
    ),
    Column(
        "household_summary",
        _texts(
            "Householder; Child under 18 never married; Spouse of householder; Child 18 or older; "
            "Other relative of householder; Nonrelative of householder; Group Quarters- Secondary individual; "
            "Child under 18 ever married"
        ),
        first=0.38,
    ),
    Column(
        "migration_metropolitan",
        _texts("?; Nonmover; MSA to MSA; NonMSA to nonMSA; Not in universe; MSA to nonMSA; NonMSA to MSA"),
        first=0.5,
    ),
    Column(
        "migration_region",
        _texts("?; Nonmover; Same county; Different county same state; Not in universe; Different region; Abroad"),
        first=0.5,
    ),
    Column(
        "migration_within_region",
        _texts(
            "?; Nonmover; Same county; Different county same state; Not in universe; Different state in South; "
            "Different state in West; Different state in Midwest; Different state in Northeast; Abroad"
        ),
        first=0.5,
    ),
    Column("same_house_a_year_ago", _texts("Not in universe under 1 year old; Yes; No"), first=0.5),
    Column("migration_sunbelt", _texts("?; Not in universe; No; Yes"), first=0.5),
    Column("num_persons_of_employer", _numbers(*range(7)), first=0.48),
    Column(
        "family_members_under_18",
        _texts(
            "Not in universe; Both parents present; Mother only present; Father only present; Neither parent present"
        ),
        first=0.5,
    ),
    Column("country_of_father", _COUNTRIES, first=0.8),
    Column("country_of_mother", _COUNTRIES, first=0.8),
    Column("country_of_birth", _COUNTRIES, first=0.89),
    Column(
        "citizenship",
        _texts(
            "Native- Born in the United States; Foreign born- Not a citizen of U S ; "
            "Foreign born- U S citizen by naturalization; Native- Born abroad of American Parent(s); "
            "Native- Born in Puerto Rico or U S Outlying"
        ),
        first=0.89,
    ),
    Column("own_business", _numbers(0, 2, 1), first=0.9),
    Column("veterans_questionnaire", _texts("Not in universe; No; Yes"), first=0.99),
    Column("veterans_benefits", _numbers(2, 0, 1), first=0.75),
    Column("weeks_worked", _numbers(*range(53)), first=0.3),
    Column("year", _numbers(95, 94), first=0.5),
)
PLACES = {"marital_status": 7, "instance_weight": 24, "income": 41}  # of the columns that are no features

FACTORS = {
    "standing": ("age", "tax_filer_status", "household_status", "family_members_under_18"),
    "work": ("class_of_worker", "education", "major_occupation", "weeks_worked"),
}


@dataclass(frozen=True)
class Label:
    """Weights are standard deviations on the logit scale."""

    name: str
    base_rate: float  # about
    standing: float
    work: float
    product: float
    own: dict[str, float]  # column: weight

    def logits(self, numbers: dict[str, np.ndarray]) -> np.ndarray:
        """float64 (N,), from the numbers of each column's values in the rows, float (N,)."""
        standing, work = (
            np.sum([numbers[column] for column in columns], axis=0) / math.sqrt(len(columns))
            for columns in FACTORS.values()
        )
        parts = np.stack([standing, work, standing * work, *(numbers[column] for column in self.own)])
        weights = np.array([self.standing, self.work, self.product, *self.own.values()])
        return intercept(self.base_rate, weights @ weights) + weights @ parts


LABELS = (
    Label(
        "income",
        base_rate=0.12,
        standing=0.9,
        work=1.2,
        product=0.8,
        own={"capital_gains": 0.4, "dividends": 0.3, "sex": 0.3},
    ),
    Label(
        "never_married",
        base_rate=0.43,
        standing=-1.6,
        work=-0.5,
        product=0.8,
        own={"household_summary": 0.6, "enrolled_in_education": 0.3},
    ),
)


@dataclass(frozen=True)
class Rows:
    positions: dict[str, np.ndarray]  # of each column's texts, int (N,)
    probabilities: np.ndarray  # float64 (N, K), of a 1
    labels: np.ndarray  # bool (N, K)
    rng: np.random.Generator  # of what else a row holds


def draw_numbers(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the values of each column mean: e, float64 (V,) a column."""
    numbers = {}
    for column in COLUMNS:
        shares = column.shares()
        numbers[column.name] = standardize(rng.standard_normal(len(shares)), shares)
    return numbers


def draw_rows(num_rows: int, rng: np.random.Generator) -> Rows:
    """Features and labels; what the values mean depends on the generator's seed and not on the number of rows."""
    truth_rng, rows_rng = rng.spawn(2)
    numbers = draw_numbers(truth_rng)
    positions = {column.name: draw_positions(column.shares(), num_rows, rows_rng) for column in COLUMNS}
    of_rows = {name: numbers[name][positions[name]] for name in positions}
    probabilities = np.stack([sigmoid(label.logits(of_rows)) for label in LABELS], axis=1)
    return Rows(positions, probabilities, rows_rng.random(probabilities.shape) < probabilities, rows_rng)


def draw(layout: str, *, rows: int, seed: int, truth: str | None) -> DrawnLog:
    """The same arguments give the same bytes."""
    return LAYOUTS[layout].draw(rows, np.random.default_rng(seed), truth)


def _draw(num_rows: int, rng: np.random.Generator, truth: str | None) -> DrawnLog:
    rows = draw_rows(num_rows, rng)
    columns = [(c.name, np.array(c.texts)[rows.positions[c.name]]) for c in COLUMNS]
    income, never_married = rows.labels.T
    others = {
        "marital_status": _marital_status(never_married, rows.rng),
        "instance_weight": np.char.mod(" %.2f", np.exp(rows.rng.normal(7.3, 0.6, num_rows))),
        "income": np.where(income, " 50000+.", " - 50000."),
    }
    for name, place in PLACES.items():  # rising: each is put before those that follow it
        columns.insert(place, (name, others[name]))
    return DrawnLog(to_csv(dict(columns), header=False), {})


def _marital_status(never_married: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Texts, str (N,)."""
    others = draw_positions(_MARRIED.shares(), len(never_married), rng)
    return np.where(never_married, " Never married", np.array(_MARRIED.texts)[others])


LAYOUTS = {"census_income": LogLayout("census-income.data", _draw, ())}
