import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import ts from 'typescript'

/** The top of the repository. */
export const TOP = join(import.meta.dirname, '..', '..')

export interface SourceFile {
  /** Relative to the top, with `/`. */
  readonly path: string
  readonly text: string
}

/** Every source file of a package, in `packages/<folder>/src`. */
export function sourcesOf(folder: string): SourceFile[] {
  const root = join(TOP, 'packages', folder, 'src')
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => ({
      path: relative(TOP, join(root, name)).replaceAll('\\', '/'),
      text: readFileSync(join(root, name), 'utf8'),
    }))
}

/** The folders under `packages/`. */
export function packageFolders(): string[] {
  return readdirSync(join(TOP, 'packages')).sort()
}

/** Every module that a file imports, types and dynamic imports included. */
export function importsOf(file: SourceFile): string[] {
  return ts.preProcessFile(file.text, true, true).importedFiles.map(({ fileName }) => fileName)
}

/** The code of a file without comments and texts, so that a word in prose is not taken for a use. */
export function codeOf(file: SourceFile): string {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, false)
  const kept: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isImportDeclaration(node)) return
    if (ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)) return
    if (node.getChildCount(source) === 0) kept.push(node.getText(source))
    else ts.forEachChild(node, visit)
    if (ts.isPropertyAccessExpression(node)) kept.push(`\n${node.getText(source)}\n`)
  }
  visit(source)
  return kept.join(' ')
}

/** The names that each entry exports: values and types, sorted. */
export function exportsOf(entries: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const paths = entries.map(entry => join(TOP, entry))
  const program = ts.createProgram(paths, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    allowImportingTsExtensions: true,
    customConditions: ['source'],
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
  })
  const checker = program.getTypeChecker()
  return new Map(
    entries.map((entry, index) => {
      const source = program.getSourceFile(paths[index] ?? '')
      const symbol = source && checker.getSymbolAtLocation(source)
      return [
        entry,
        symbol
          ? checker
              .getExportsOfModule(symbol)
              .map(each => each.name)
              .sort()
          : [],
      ]
    }),
  )
}
