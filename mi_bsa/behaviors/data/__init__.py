"""Training data as files: build a behavior's rows, import the published ones, list what there is.

from mi_bsa import data

data.build(data.BuildData(behavior="risk", rows=2000), out="runs/data/risk")
data.import_published(data.ImportData(published="risk"), out="runs/data/published-risk")
"""

from mi_bsa.behaviors.data.build import BuildData, build
from mi_bsa.behaviors.data.listing import Listed, listing
from mi_bsa.behaviors.data.published import PUBLISHED, ImportData, import_published

__all__ = ["PUBLISHED", "BuildData", "ImportData", "Listed", "build", "import_published", "listing"]
