"""What every driver does: two scripts, as data. Knows no driver."""

from .answers import answers, types
from .failures import failures
from .masked import MASKED
from .pairs import pairs
from .parameters import parameters
from .settings import settings
from .statements import groups, prepared
from .steps import Op, Step
from .streams import copies, cursors

__all__ = ["MASKED", "SCRIPT", "Op", "Step"]

SCRIPT: tuple[Step, ...] = (
    *settings(),
    *answers(),
    *types(),
    *parameters(),
    *cursors(),
    *copies(),
    *failures(),
    *pairs(),
    *prepared(),
    *groups(),
)
"""For a database in which nothing is masked."""
