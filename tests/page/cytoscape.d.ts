// The library stands in the page beside the modules, so that it is global there.
declare function cytoscape(options: Record<string, any>): any;
