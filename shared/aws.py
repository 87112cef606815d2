"""AWS clients with time-outs that fit into a request: botocore's own are 60 seconds each."""

from botocore.config import Config

AWS_CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
