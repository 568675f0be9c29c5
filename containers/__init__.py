"""What our container images hold beside what they are built from."""
