export * from '../../packages/openclaw/src/index.ts'
