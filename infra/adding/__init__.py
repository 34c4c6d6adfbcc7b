"""Adding a consumer: drafting one, finding out what is wrong with those that are there, and what each of them does."""
