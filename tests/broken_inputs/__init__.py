"""A generator of broken inputs: ``python -m tests.broken_inputs`` feeds thousands of them to every entry point.

Every reader and every option meets wrong types, edges, control characters, truncation and lies. The rule is one for
all (:func:`tests.broken_inputs.trials.tried`): a broken input ends either in a clean run or in one line on standard
error that begins with ``error: ``, with exit code 2, in bounded time and memory, with nothing executed and nothing left
behind.
"""
