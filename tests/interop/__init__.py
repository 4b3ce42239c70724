"""Our networks under PyTorch, and our files in other libraries' readers: `make test-interop`."""
