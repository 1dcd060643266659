"""Made at set-up from the npm packages: the definitions that the store works by. Nothing here runs later."""
