"""Every operator of a clause, by name. Each file is a family; what has no file of its own needs a whole ruleset.

operator   what an operator is
text       eq ne in not_in contains starts ends matches
numbers    num_eq num_ne num_lt num_le num_gt num_ge between modulo
dates      before after on time_between
versions   semver_eq semver_ne semver_lt semver_le semver_gt semver_ge semver_range
networks   in_cidr
shapes     present absent empty type_of array_any array_all array_none size

A comparison with what is absent, or of another type than the operator is about, is false; its opposite (`ne`, `not_in`,
`num_ne`, `semver_ne`) is the exact negation, and so true.
"""

from collections.abc import Mapping

from flags.domain.operators.dates import DATES
from flags.domain.operators.networks import NETWORKS
from flags.domain.operators.numbers import NUMBERS
from flags.domain.operators.operator import Operator
from flags.domain.operators.shapes import SHAPES
from flags.domain.operators.text import TEXT
from flags.domain.operators.versions import VERSIONS

OPERATORS: Mapping[str, Operator] = {**TEXT, **NUMBERS, **DATES, **VERSIONS, **NETWORKS, **SHAPES}
