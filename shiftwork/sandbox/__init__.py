"""What keeps the processes of an agent together, so that none of them outlives it."""
