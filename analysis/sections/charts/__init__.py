"""What the page draws itself: the artefacts whose values are told and whose lines can be switched off."""
