"""How is evidence drawn?  One small file and one ES module a panel; importing this package registers ours."""

from convscope.page.panels import bars, curves, table

__all__ = ["bars", "curves", "table"]
