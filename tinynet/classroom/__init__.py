"""Assignments from the chapters: made, handed out, handed in, graded, answered.

    release.py      from a chapter to the students' notebook, and a manifest
    notebooks.py    cells in, cells out
    grading.py      every submission judged, property by property
    remote.py       a student's code in a process of its own, called like functions
    worker.py       that process; sandbox.py: what it gives up; wire.py: what may pass between
    feedback.py     a page for each student, a table of grades, a picture of the class

In: what a teacher of many types. Not in: the tasks and what is right (`exercises`). Start with
`grading.py`; its docstring says why a student's code cannot grade itself.
"""
