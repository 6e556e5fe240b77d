"""What only notebooks need: the opening of a lesson, exercise checks, plots and widgets."""
