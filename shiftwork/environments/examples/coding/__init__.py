"""Problems to solve in Python, and judging solutions that nobody trusts."""
