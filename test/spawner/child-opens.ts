import { isIdentityError, openIdentity } from '@holdfast/identity'

try {
  process.stdout.write((await openIdentity({ app: 'acme' })).id)
} catch (error) {
  if (!isIdentityError(error)) throw error
  process.stdout.write(error.code)
}
