import process from 'node:process'

// What every test file of the lane loads first: nothing of it can pass on anything but Windows.
if (process.platform !== 'win32') throw new Error(`these tests are for Windows; this is ${process.platform}`)
