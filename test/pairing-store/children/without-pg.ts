import { registerHooks } from 'node:module'

// As where nobody has installed it.
registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== 'pg') return next(specifier, context)
    throw Object.assign(new Error('hidden'), { code: 'ERR_MODULE_NOT_FOUND' })
  },
})
const { isPairingStoreError, openPostgresStore } = await import('@holdfast/pairing-store')
try {
  await openPostgresStore({ url: 'postgres://127.0.0.1/x' })
} catch (error) {
  if (!isPairingStoreError(error)) throw error
  console.log(error.code, error.detail.fix)
}
