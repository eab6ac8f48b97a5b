// @ts-check

/** A token that lives no longer than this is not worth a try. */
const SPARE_MS = 5000;
const FETCH_MS = 10_000;

/**
 * Where the tokens of a page's calls come from. Each opens one call; none is kept anywhere.
 */
export class TokenSource {
  #options;
  #given;
  #path;
  #bornAt;

  /**
   * @param {object} options
   * @param {string} options.token of the page; empty: none
   * @param {number} options.expiresInMs of that token, from now on; 0: it stays valid
   * @param {string} options.path gives fresh ones; empty: nothing does
   * @param {(() => Promise<string>) | null} options.ask the page around this one has them
   * @param {() => number} [options.now] milliseconds
   */
  constructor(options) {
    this.#options = options;
    this.#given = options.token;
    this.#path = options.path;
    this.#bornAt = this.#now();
  }

  /**
   * A token that has not been used.
   *
   * @returns {Promise<string>} empty: the server asks for none
   * @throws {Error} there is none to be had
   */
  async take() {
    const { token, ask } = this.#options;
    const given = this.#fresh() ? this.#given : "";
    // Without a term it is the server's to say how often it opens a call.
    if (this.#options.expiresInMs) this.#given = "";
    if (given) return given;
    if (ask) return ask();
    if (this.#path) return fetchToken(this.#path);
    return token;
  }

  #fresh() {
    const { expiresInMs } = this.#options;
    return !expiresInMs || this.#now() - this.#bornAt < expiresInMs - SPARE_MS;
  }

  #now() {
    // The page's own clock stands still while a machine sleeps.
    return (this.#options.now ?? Date.now)();
  }
}

/** @param {string} path @returns {Promise<string>} */
async function fetchToken(path) {
  const answer = await fetch(path, {
    headers: { Accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(FETCH_MS),
  });
  const token = answer.ok ? (await answer.json()).token : "";
  if (typeof token !== "string" || !token) throw new Error(`no token: ${answer.status}`);
  return token;
}
