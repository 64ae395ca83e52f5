// Prints a line, as the programs do that it is measured against.
console.log(JSON.stringify({}))
