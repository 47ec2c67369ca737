"""Every command that takes a circuit, each made to end in a moment, for circuits that are special in some way."""

COMMANDS = [
    "evaluate {run} --prompts 4",
    "show {run} --top 3",
    "explain {run} --out explained",
    "attack {run} --prompts 4 --budget 8 --cross 4 --diagnose 1 --only crossing,search,diagnosis --out attacked",
    "stability {run} --resamples 1 --seeds 1 --out stable",
    "cut {run} --edges 20 --out smaller",
    "diff {run} {run}",
    "export {run} circuit.graphml",
    "export {run} picture.svg",
    "export {run} neuronpedia.json --as neuronpedia",
    "report {run}",
]
