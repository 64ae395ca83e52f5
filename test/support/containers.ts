import { execFileSync, spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { onTestFinished } from 'vitest'

/** Namespaces of its own for processes, mounts, names and shared memory, as a container has them; it ends with its first process. */
const NAMESPACES = ['--pid', '--fork', '--kill-child', '--mount-proc', '--mount', '--uts', '--ipc']
const MOUNTED = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
const MOUNTED_ON_LAYERS =
  'mount -t tmpfs tmpfs "$1" && mkdir "$1/lower" "$1/upper" "$1/work" && ' +
  'mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" overlay "$2" && shift 2 && exec "$@"'

/** Words that start a program in a container, in which this directory is a volume that is mounted there. */
export function inContainer(volume: string, mountPoint: string, network: string | null = null): string[] {
  return [...joining(network), 'unshare', ...NAMESPACES, 'sh', '-c', MOUNTED, 'sh', volume, mountPoint]
}

/** The same, with nothing mounted: what is written at the mount point goes into the container's own layer. */
export function inContainerWithoutVolume(scratch: string, mountPoint: string): string[] {
  return ['unshare', ...NAMESPACES, 'sh', '-c', MOUNTED_ON_LAYERS, 'sh', scratch, mountPoint]
}

/** Whether this user may make containers here: it takes root and namespaces. */
export const canContain = succeeds(inContainer(tmpdir(), '/mnt'), ['test', '-d', '/srv'])
export const canLayer = canContain && succeeds(inContainerWithoutVolume('/srv', '/mnt'), ['true'])

/** Two networks with one cable between them; each is known by its name, and by the address of its end. Gone after the test. */
export interface TwoNetworks {
  readonly names: readonly [string, string]
  readonly addresses: readonly [string, string]
}

export function connectTwoNetworks(): TwoNetworks {
  const names = [`holdfast-${process.pid}-a`, `holdfast-${process.pid}-b`] as const
  const addresses = ['10.203.77.1', '10.203.77.2'] as const
  onTestFinished(() => {
    for (const name of names) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
  })
  const [a, b] = names
  const ip = (words: string): unknown => execFileSync('ip', words.split(' '), { stdio: 'pipe' })
  for (const name of names) ip(`netns add ${name}`)
  ip(`-n ${a} link add cable type veth peer name cable netns ${b}`)
  for (const [index, name] of names.entries()) {
    ip(`-n ${name} addr add ${addresses[index]}/24 dev cable`)
    for (const link of ['lo', 'cable']) ip(`-n ${name} link set ${link} up`)
  }
  return { names, addresses }
}

export const canConnectNetworks = ((): boolean => {
  const name = `holdfast-${process.pid}-try`
  const made = canContain && succeeds(['ip', 'netns', 'add', name], [])
  const cabled =
    made && succeeds(['ip', '-n', name, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two'], [])
  if (made) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
  return cabled
})()

function joining(network: string | null): string[] {
  return network === null ? [] : ['nsenter', `--net=/run/netns/${network}`]
}

function succeeds(words: readonly string[], more: readonly string[]): boolean {
  const [command = '', ...args] = [...words, ...more]
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
