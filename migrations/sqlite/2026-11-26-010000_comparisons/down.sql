-- The keys are good for either way of making them.
SELECT 1;
