/** Lets this machine pass on what is for others, as pods need it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Family } from './family.ts'

const PROC = '/proc/sys/net'

/** Of IPv4, 127.0.0.1 becomes a way to node ports too. */
export function allowForwarding(family: Family): void {
  if (family === 'IPv4') {
    set(`${PROC}/ipv4/ip_forward`, '1')
    set(`${PROC}/ipv4/conf/all/route_localnet`, '1')
    return
  }
  keepAdvertisedRoutes()
  set(`${PROC}/ipv6/conf/all/forwarding`, '1')
}

/** A machine that forwards listens to no router any more, unless it is told to: it would lose its way out. */
function keepAdvertisedRoutes(): void {
  const interfaces = `${PROC}/ipv6/conf`
  for (const name of readdirSync(interfaces)) {
    const path = `${interfaces}/${name}/accept_ra`
    const isListening = readFileSync(path, 'utf8').trim() === '1'
    const forwards = readFileSync(`${interfaces}/${name}/forwarding`, 'utf8').trim() === '1'
    if (isListening && !forwards) writeFileSync(path, '2')
  }
}

/** Written only where it differs: some machines let nobody write. */
function set(path: string, value: string): void {
  if (readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value)
}
