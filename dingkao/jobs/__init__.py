"""Background jobs: a row is written in the transaction that needs the job; after the commit, rq runs it."""
