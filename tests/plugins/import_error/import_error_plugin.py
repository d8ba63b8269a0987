"""Imports its backend's library at module level, and the library is not there."""

import a_library_that_nobody_has
