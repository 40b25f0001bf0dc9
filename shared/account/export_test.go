package account

// HashOf is hashOf for tests.
var HashOf = hashOf
