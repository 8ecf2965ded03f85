"""What Beam relies on in other libraries although they do not document it.

Each test names one such thing. When an upgrade changes it, the test fails with a
sentence that says what Beam does with it, and in which module.
"""
