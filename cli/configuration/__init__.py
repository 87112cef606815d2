"""`portal.yaml`: the account's portal configurations as code."""
