"""The DynamoDB copy of subscriptions."""
