"""Not there, as where only `requirements.txt` is installed."""

raise ImportError("rich is not a requirement of the product", name="rich")
