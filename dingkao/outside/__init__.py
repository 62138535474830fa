"""The world outside: sheets people bring, the store, paper, short messages; an interface and a real adapter each."""
