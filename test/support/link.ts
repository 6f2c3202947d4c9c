/** A link of a test's own: a bridge in a network namespace, and neighbours in theirs, 192.0.2.1 and on. */
import { execFileSync } from 'node:child_process'

export const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' })

/** `space` names the namespace of a neighbour, and that of `link`, the bridge's own. */
export function buildLink(names: readonly string[], space: (name: string) => string): void {
  for (const name of ['link', ...names]) ip('netns', 'add', space(name))
  ip('-n', space('link'), 'link', 'add', 'br0', 'type', 'bridge')
  ip('-n', space('link'), 'link', 'set', 'br0', 'up')
  for (const [index, name] of names.entries()) {
    const peer = ['peer', 'name', `p${index}`, 'netns', space('link')]
    ip('-n', space(name), 'link', 'add', 'eth0', 'type', 'veth', ...peer)
    ip('-n', space('link'), 'link', 'set', `p${index}`, 'master', 'br0', 'up')
    ip('-n', space(name), 'addr', 'add', `192.0.2.${index + 1}/24`, 'dev', 'eth0')
    for (const device of ['lo', 'eth0']) ip('-n', space(name), 'link', 'set', device, 'up')
  }
}
