import { readFileSync } from 'node:fs'
import process from 'node:process'
import { Command, CommanderError } from 'commander'
import { report } from './advice.ts'
import { declareCommands } from './command-list.ts'
import { CommandError } from './errors.ts'
import { jsonLine } from './render.ts'
import type { CommandLine, CommandResult, CommonOptions, Wiring } from './wiring.ts'

/** What carries a command out: its first argument, the others, and its options. Resolves to what to print, or an exit code. */
export type Action<Options> = (
  wiring: Wiring,
  argument: string,
  options: Options & { readonly more: readonly string[] },
) => Promise<CommandResult | number>

/** Declares a command with the options that all share; `load` imports what carries it out. */
export type Add = <Options extends CommonOptions>(
  usage: string,
  description: string,
  load: () => Promise<Action<Options>>,
  parent?: Command,
) => Command

/** The streams of this process. */
const OWN_STREAMS: Omit<CommandLine, 'words'> = {
  printOut: text => void process.stdout.write(text),
  printError: text => void process.stderr.write(text),
}

/** Run one command line. Resolves to the exit code: 0 done, 1 refused or failed, 2 wrong usage. */
export async function runProgram(words: readonly string[], streams = OWN_STREAMS): Promise<number> {
  let exitCode = 0
  const line = { words, ...streams }
  const program = describeProgram(line, code => {
    exitCode = code
  })
  try {
    await program.parseAsync(keysLast(handedOn(words)), { from: 'user' })
    return exitCode
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return 0
    const reason = error.message.replace(/^error: /, '')
    return wantsJson(line) ? fail(new CommandError('USAGE', { reason }), true, line) : 2
  }
}

function wantsJson(line: CommandLine): boolean {
  return line.words.includes('--json')
}

/** `pnpm start -- --delegate` hands its two dashes on, which npm takes away: before the options of `demo` they mean nothing. */
function handedOn(words: readonly string[]): readonly string[] {
  return words[0] === 'demo' && words[1] === '--' ? ['demo', ...words.slice(2)] : words
}

/** One public key in 64 begins with a dash and looks like an option: behind two dashes it is an argument. */
function keysLast(words: readonly string[]): string[] {
  const isKey = (word: string) => /^-[\w-]{42}$/.test(word)
  const keys = words.filter(isKey)
  if (keys.length === 0 || words.includes('--')) return [...words]
  return [...words.filter(word => !isKey(word)), '--', ...keys]
}

function describeProgram(line: CommandLine, end: (exitCode: number) => void): Command {
  const program = new Command('holdfast')
  program
    .description('One device identity per install: identity, gateway, devices and requests.')
    .version(ownVersion())
    .helpCommand('help [command]', 'say what a command does')
    .exitOverride()
  // With --json a failure is one document on standard output, wrong usage included.
  const silent = wantsJson(line)
  program.configureOutput({ writeOut: line.printOut, writeErr: silent ? () => undefined : line.printError })
  if (!silent) program.showHelpAfterError('(holdfast --help lists the commands)')

  const add: Add = (usage, description, load, parent = program) =>
    parent
      .command(usage)
      .description(description)
      .exitOverride()
      .copyInheritedSettings(parent)
      .option('--app <name>', 'the application whose install is meant (default: holdfast)')
      .option('--state-dir <dir>', 'the state directory itself, instead of the per-user one')
      .option('--profile <name>', 'one of several installs of one application')
      .option('--store <path>', 'the pairing store (default: store.sqlite in the state directory)')
      .option('--json', 'print JSON')
      .action(async (...args: unknown[]) => {
        const command = args.at(-1) as Command
        const [argument = '', ...more] = command.args
        end(await carryOut(line, await load(), argument, { ...command.optsWithGlobals(), more }))
      })
  declareCommands(program, add, end)
  return program
}

function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return String((manifest as { readonly version: unknown }).version)
}

async function carryOut<Options extends CommonOptions>(
  line: CommandLine,
  action: Action<Options>,
  argument: string,
  options: Options & { readonly more: readonly string[] },
): Promise<number> {
  try {
    const { wire } = await import('./wiring.ts')
    const wiring = await wire(line, options)
    const result = await action(wiring, argument, options)
    if (typeof result === 'number') return result
    if (wiring.json) wiring.say(jsonLine(result.json))
    else result.lines.forEach(wiring.say)
    return result.exitCode ?? 0
  } catch (error) {
    return fail(error, options.json ?? false, line)
  }
}

function fail(error: unknown, json: boolean, line: CommandLine): number {
  const failure = report(error)
  if (json) line.printOut(`${jsonLine({ error: failure.json })}\n`)
  else line.printError(`${failure.lines.join('\n')}\n`)
  return failure.exitCode
}
