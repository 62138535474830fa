"""What holds for every request and response: middleware, access control, forms, commit and error handling."""
