"""Figures for the lessons: each call draws one new figure, shows it and returns nothing."""

from tl_helpers.lessons.plots.clusters import cluster_faces, maps
from tl_helpers.lessons.plots.networks import feature_maps, filters, grad_cam, grad_cam_maps
from tl_helpers.lessons.plots.numbers import bars, confusion, history, learning_curve, reliability
from tl_helpers.lessons.plots.pictures import batch_grid, grid, neighbours, pairs, top_losses
from tl_helpers.lessons.plots.reading import reading
from tl_helpers.lessons.plots.searching import LiveTrials, trials
