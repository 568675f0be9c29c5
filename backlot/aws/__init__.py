"""The only boto3: one module a service, DynamoDB's with one more for each table."""
