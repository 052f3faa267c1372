"""The files that `shiftwork init` writes: a specification, and a cassette that plays it without any key."""

SPECIFICATION = """\
---
name: {quoted}
---

# {name}

A tiny program that greets: `python3 -m greet NAME` prints "Hello, NAME!". Standard library only.

Replace this text by what you want to be built. Agents read all of it; the more clearly it says what must be
true when the work is done, the better the features and their verification steps become.
"""

CASSETTE = """\
# What the scripted agent plays instead of asking a model: `plan` is what its planning session leaves,
# `sessions` holds what the sessions of each feature do: a list of steps for each attempt, the last repeats.

plan:
  features:
    - name: greeting
      description: "`python3 -m greet NAME` prints a greeting."
      category: functional
      priority: 9
      verification_steps:
        - description: The name is greeted
          command: python3 -m greet World
          expect_output: Hello, World!

    - name: readme
      description: A README that shows how to start the program.
      category: documentation
      priority: 3
      depends_on: [greeting]
      verification_steps:
        - description: The README names the command
          command: grep -q 'python3 -m greet' README.md

sessions:
  greeting:
    -
      - say: The first attempt forgets the exclamation mark, so its verification fails.
      - write:
          path: greet.py
          content: |
            import sys

            print(f"Hello, {sys.argv[1]}")
    -
      - say: The second one reads what failed, and mends it.
      - write:
          path: greet.py
          content: |
            import sys

            print(f"Hello, {sys.argv[1]}!")
      - decision:
          decision: One module instead of a package
          reasoning: There is one thing to do.
          tags: [layout]

  readme:
    -
      - write:
          path: README.md
          content: |
            # Greet

            `python3 -m greet NAME` greets.
"""
