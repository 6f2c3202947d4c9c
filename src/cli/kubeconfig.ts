/** The parts of a kubeconfig as `mk8s config` writes it, and a connection made of them. */
import { HttpsTransport } from '../client/https-transport.ts'

export interface ClusterEntry {
  readonly name: string
  readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string }
}

export interface ContextEntry {
  readonly name: string
  readonly context: { readonly cluster: string; readonly user: string }
}

export interface ClientIdentity {
  /** PEM. */
  readonly certificate: string
  readonly key: string
}

/** `hint`: what to do when the server cannot be reached. To be closed by the caller. */
export function transportTo(
  { cluster }: ClusterEntry,
  { certificate, key }: ClientIdentity,
  hint?: string,
): HttpsTransport {
  return new HttpsTransport({
    server: cluster.server,
    caPem: decodePem(cluster['certificate-authority-data']),
    certificatePem: certificate,
    keyPem: key,
    hint,
  })
}

export const decodePem = (data: unknown): string => Buffer.from(String(data ?? ''), 'base64').toString('utf8')
export const encodePem = (pem: string): string => Buffer.from(pem, 'utf8').toString('base64')
