// A program that is not a module yet: `require` takes modules since Node 22.12.
const { findIdentity } = require('@holdfast/identity')
const { createGate } = require('@holdfast/gateway')

findIdentity({ app: 'consumer' }).then(identity => {
  console.log(JSON.stringify({ node: process.version, deviceId: identity.id, createGate: typeof createGate }))
})
