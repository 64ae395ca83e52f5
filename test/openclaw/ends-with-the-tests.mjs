// Preloaded into everything that a real release starts: nothing of it outlives the test run, however that ends. A gateway
// is in a process group of its own, which no signal to the run reaches.
const runner = Number(process.env['HOLDFAST_TEST_RUNNER'])

setInterval(() => {
  try {
    process.kill(runner, 0)
  } catch {
    process.exit(1)
  }
}, 1_000).unref()
