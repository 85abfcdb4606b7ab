"""Models: loading them, and the few operations that the method needs of a loaded one.

The only place that imports Unsloth; everything else sees a `Backbone`.
"""

from sapo_lite.backbone.attention import PackLayout
from sapo_lite.backbone.loading import load_backbone
from sapo_lite.backbone.model import Backbone, only_at

__all__ = ["Backbone", "PackLayout", "load_backbone", "only_at"]
