"""City1M: synthetic people in synthetic streets (CVPR 2022), in the forms in which its authors hand it out.

The dataset is described in its paper and in the README that it is distributed with.
"""

from pipeline.sources.city1m.full import CITY1M
from pipeline.sources.city1m.lite import CITY1M_LITE

__all__ = ["CITY1M", "CITY1M_LITE"]
