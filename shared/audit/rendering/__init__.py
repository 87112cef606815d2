"""An audit report as a page, mail, CSV or JSON."""
