import { type Command, Option } from 'commander'
import type { DemoChildOptions } from './commands/demo-child.ts'
import type { RaceChildOptions } from './commands/doctor-race-child.ts'
import {
  limitOption,
  nameOption,
  openClawDirOption,
  parseAge,
  parseCount,
  parseGatewayId,
  parseList,
  parseMinutes,
  parsePort,
  parseScopeList,
} from './option-values.ts'
import type { Add } from './program.ts'

/** What devices of this machine may have without a person, unless the operator says otherwise. */
export const DEFAULT_CEILING = [
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.questions',
  'operator.talk',
] as const

/**
 * Every command, with its options. What carries one out is imported when it is called, so that a child process of the
 * demonstration does not load a database.
 *
 * @param add declares a command with the options that all share
 * @param end takes the exit code of the commands that are called by other commands only
 */
export function declareCommands(program: Command, add: Add, end: (exitCode: number) => void): void {
  const id = add(
    'id',
    "show this install's identity; create it the first time",
    async () => (await import('./commands/id.ts')).id,
  ).enablePositionalOptions()
  add(
    'import <file>',
    'make a key from elsewhere the identity of this install (- reads standard input)',
    async () => (await import('./commands/id-transfer.ts')).importKey,
    id,
  )
  add(
    'export <file>',
    "write this install's private key to a new file that nobody else can read",
    async () => (await import('./commands/id-transfer.ts')).exportKey,
    id,
  ).addOption(
    new Option('--format <format>', 'the form').choices(['pem', 'der', 'jwk', 'seed']).default('pem'),
  )
  add(
    'reset',
    'become another device; the former key is set aside',
    async () => (await import('./commands/id-reset.ts')).reset,
    id,
  )
    .option('--yes', 'do not ask')
    .addOption(nameOption())
  add(
    'doctor',
    'look at the identity and all around it, clear what dead processes left, and say what helps',
    async () => (await import('./commands/doctor.ts')).doctor,
  )
    .addOption(
      new Option('--race <n>', 'let so many processes make one identity, on the same disk').argParser(
        parseCount,
      ),
    )
    .addOption(nameOption())
  const gateway = add(
    'gateway',
    'run a gateway until SIGTERM',
    async () => (await import('./commands/gateway.ts')).gateway,
  )
    .enablePositionalOptions()
    .addOption(
      new Option('--port <n>', 'the port to listen on; 0 takes a free one').argParser(parsePort).default(0),
    )
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--roles <file>', 'a JSON file of roles, their scopes, and what each scope implies')
    .addOption(
      new Option('--ceiling <scopes>', 'what devices of this machine may have without a person')
        .argParser(parseScopeList)
        .default(undefined, DEFAULT_CEILING.join(',')),
    )
    .addOption(
      new Option(
        '--public-addresses <addresses>',
        'what clients dial beside the address it listens on: host:port, separated by commas',
      ).argParser(parseList),
    )
    .option(
      '--allow-openclaw-proof',
      "let a device that has proven itself by holdfast/1 come by OpenClaw's weaker proofs again",
    )
    .option('--no-local', 'trust no device for being on this machine: each needs a person')
    .option(
      '--local-peers <addresses>',
      'private addresses or networks (CIDR) that count as this machine: other containers',
      parseList,
    )
    .option(
      '--trusted-proxies <addresses>',
      'addresses or networks of proxies whose X-Forwarded-For is believed',
      parseList,
    )
    .option('--allowed-hosts <names>', 'names by which clients may dial it, beside IP addresses', parseList)
    .option('--allowed-origins <origins>', 'exact origins of browser pages that may connect', parseList)
  add(
    'export <file>',
    'write what makes another machine the same gateway, key and token, to a new file that nobody else can read',
    async () => (await import('./commands/gateway-transfer.ts')).exportProvision,
    gateway,
  )
  add(
    'import <file>',
    'make this machine the gateway of such a file (- reads standard input)',
    async () => (await import('./commands/gateway-transfer.ts')).importProvision,
    gateway,
  )
  add(
    'explain <id>',
    'say why a connection was let in or not, or a request was opened, rule by rule',
    async () => (await import('./commands/explain.ts')).explain,
  )
  add(
    'watch',
    'connections, refusals and requests as they come; answer requests from here',
    async () => (await import('./commands/watch.ts')).watch,
  )
  const devices = add(
    'devices',
    'list the devices',
    async () => (await import('./commands/devices.ts')).devices,
  )
    .enablePositionalOptions()
    .addOption(limitOption())
    .option('--search <text>', 'only those whose id or name begins with it')
    .option('--after <cursor>', 'go on after this page')
  add(
    'prune',
    'forget devices that were not seen for long; revoked and narrowed ones stay',
    async () => (await import('./commands/devices.ts')).prune,
    devices,
  ).requiredOption('--older-than <age>', 'such as 90d or 12h', parseAge)
  add(
    'requests',
    'list what waits for an answer',
    async () => (await import('./commands/requests.ts')).requests,
  )
    .addOption(limitOption())
    .option('--after <cursor>', 'go on after this page')
  add(
    'approve <request>',
    'give a device what it asks for',
    async () => (await import('./commands/requests.ts')).approve,
  ).option('--digest <hex>', 'only if this is still the digest that `requests` showed')
  add('reject <request>', 'turn a request down', async () => (await import('./commands/requests.ts')).reject)
  add(
    'revoke <device>',
    'shut a device out, or one role of it',
    async () => (await import('./commands/devices.ts')).revoke,
  )
    .option('--role <role>', 'this role alone')
    .option('--keep-registration', 'let the gateway token go on registering new devices of this machine')
  add(
    'narrow <device>',
    'give a device less than the ceiling',
    async () => (await import('./commands/devices.ts')).narrow,
  )
    .requiredOption('--role <role>', 'the role')
    .requiredOption(
      '--scopes <scopes>',
      'what it may have at the most, separated by commas; `none` for nothing',
      parseScopeList,
    )
  add(
    'reinstate <device>',
    'lift a revocation',
    async () => (await import('./commands/devices.ts')).reinstate,
  )
  const tree = add(
    'tree',
    'who is connected by a right of its own, and who started whom',
    async () => (await import('./commands/tree.ts')).tree,
  ).enablePositionalOptions()
  add(
    'revoke <id>',
    'shut out a child by its id, or one delegation, with everybody below it',
    async () => (await import('./commands/tree.ts')).revokeInTree,
    tree,
  ).option('--device <id>', 'the device that it stems from, where it is not connected now')
  add(
    'rename <device> <name>',
    'give a device a name',
    async () => (await import('./commands/devices.ts')).rename,
  )
  add(
    'tokens <device>',
    'list the device tokens of a device, one a role',
    async () => (await import('./commands/tokens.ts')).tokens,
  )
    .option('--rotate <role>', 'make a new one, which the device gets with its next hello')
    .option('--revoke <role>', 'end the one of this role')
  const token = program.command('token').description('the gateway token').exitOverride()
  add(
    'rotate',
    'make a new gateway token; children pick it up by themselves',
    async () => (await import('./commands/token.ts')).rotate,
    token,
  ).option('--revoke-registered', 'shut out whatever registered itself under the token that is replaced')
  const store = program
    .command('store')
    .description('the pairing store: copy it while it is in use, check it, bring it back')
    .exitOverride()
  add(
    'backup <file>',
    'write a checked copy of the store into a new file that nobody else can read; the gateway may be running',
    async () => (await import('./commands/store-backup.ts')).backup,
    store,
  ).option(
    '--without-secrets',
    'leave out the hashes of device tokens and join codes, and what gateway tokens leave',
  )
  add(
    'verify [file]',
    'go through all of the store, or of a copy: file, tables, audit log, and the head that the gateway has kept',
    async () => (await import('./commands/store-verify.ts')).verify,
    store,
  )
  add(
    'restore <file>',
    'bring the store back to a copy; whoever was revoked since stays revoked. The gateway must be stopped',
    async () => (await import('./commands/store-restore.ts')).restore,
    store,
  ).option(
    '--new-token',
    'where nobody knows who was revoked since: under a new gateway token, every device held back',
  )
  add(
    'invite',
    'make a join code: a host where nobody can approve joins by it, once',
    async () => (await import('./commands/invite.ts')).invite,
  )
    .option('--role <role>', 'as what', 'operator')
    .option('--scopes <scopes>', 'with what, separated by commas; `none` for the bare role', parseScopeList)
    .addOption(
      new Option('--minutes <n>', 'how long it is good, 10 at the most').argParser(parseMinutes).default(10),
    )
    .option('--name <name>', 'how the device is to be called')
    .option('--list', 'list those that are live')
    .option('--withdraw <id>', 'make one good for nobody')
  add(
    'preregister <public-key>',
    'let a device in by its key, though nobody has seen it yet',
    async () => (await import('./commands/invite.ts')).preregister,
  )
    .option('--role <role>', 'as what', 'operator')
    .requiredOption(
      '--scopes <scopes>',
      'with what, separated by commas; `none` for the bare role',
      parseScopeList,
    )
    .option('--name <name>', 'how the device is to be called')
  add(
    'join <url>',
    'make this install a device of that gateway, by the join code on standard input',
    async () => (await import('./commands/join.ts')).join,
  )
    .addOption(
      new Option('--gateway-id <id>', 'the gateway that is meant, as `holdfast invite` prints it').argParser(
        parseGatewayId,
      ),
    )
    .option('--role <role>', 'as what', 'operator')
    .option(
      '--scopes <scopes>',
      'what to ask for now; the code gives all of its own in any case',
      parseScopeList,
    )
  const openclaw = program
    .command('openclaw')
    .description('at home with the real OpenClaw: its gateways, its identity, and what it stumbles over')
    .exitOverride()
  add(
    'enroll <url>',
    'make this install known to an OpenClaw gateway, by its token on standard input, and free it where it is stuck',
    async () => (await import('./commands/openclaw-enroll.ts')).enroll,
    openclaw,
  )
  add(
    'import',
    'make this install the device that the OpenClaw of this user is already',
    async () => (await import('./commands/openclaw-import.ts')).importFromOpenClaw,
    openclaw,
  ).addOption(openClawDirOption())
  add(
    'doctor',
    'say which of the known traps an OpenClaw is in, and what helps; changes nothing',
    async () => (await import('./commands/openclaw-doctor.ts')).openClawDoctor,
    openclaw,
  ).addOption(openClawDirOption())
  add(
    'audit',
    'who changed what, the newest first; or whether that log is whole',
    async () => (await import('./commands/audit.ts')).audit,
  )
    .addOption(limitOption())
    .option('--after <cursor>', 'go on after this page')
    .option('--device <id>', 'about this device')
    .option('--by <who>', 'by this device, by `store-writer`, or by `deviceless`')
    .option('--act <act>', 'this act alone')
    .option('--since <time>', 'from this time on')
    .option('--until <time>', 'before this time')
    .option('--verify', 'go through the whole log, and compare it with the head that the gateway has kept')
  add(
    'demo',
    'the main job: one identity, a real gateway, many real children',
    async () => (await import('./commands/demo.ts')).demo,
  )
    .addOption(new Option('--children <n>', 'how many child processes').argParser(parseCount).default(32))
    .option('--fresh', 'in a temporary state directory, removed afterwards')
    .addOption(
      new Option('--delegate', 'each child gets a right of its own, each another set of scopes').conflicts(
        'ownKeys',
      ),
    )
    .option('--own-keys', 'the world without Holdfast: each child makes a key of its own')
  program
    .command('race-child', { hidden: true })
    .requiredOption('--directory <dir>')
    .requiredOption('--barrier <file>')
    .exitOverride()
    .action(async (options: RaceChildOptions) => {
      const { raceChild } = await import('./commands/doctor-race-child.ts')
      end(await raceChild(options))
    })
  program
    .command('demo-child', { hidden: true })
    .requiredOption('--number <n>', '', parseCount)
    .requiredOption('--app <name>')
    .option('--own-key')
    .option('--delegated')
    .exitOverride()
    .action(async (options: DemoChildOptions) => {
      const { demoChild } = await import('./commands/demo-child.ts')
      end(await demoChild(options))
    })
}
