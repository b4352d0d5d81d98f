"""What the tests share: service processes, a client that uses none of our code, and patience."""
