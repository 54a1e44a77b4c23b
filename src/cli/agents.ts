// Coding agents, and how each is told where its model is: by its environment and its arguments, never by its files.

/** What an agent must know of the server that was started for it. */
export interface AgentServer {
  readonly url: string;
  readonly key: string;
  /** What the model is called there. */
  readonly model: string;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
}

export interface Agent {
  /** The program on the PATH. */
  readonly command: string;
  /** How to get it. */
  readonly install: string;
  /** Arguments before those of the user. */
  args(server: AgentServer): readonly string[];
  /** Undefined takes a variable away. */
  environment(server: AgentServer): Readonly<Record<string, string | undefined>>;
}

/** Variable that holds the key, for agents that read it from one of our choice. */
const keyVariable = 'INGOT_LAUNCH_KEY';

const provider = 'ingot';

export const agents = {
  /** https://code.claude.com/docs/en/settings#environment-variables */
  claude: {
    command: 'claude',
    install: 'npm install -g @anthropic-ai/claude-code',
    args: () => [],
    environment: ({ url, key, model }) => ({
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_AUTH_TOKEN: key,
      // A key of the user's own would be sent here, or asked about.
      ANTHROPIC_API_KEY: undefined,
      ANTHROPIC_MODEL: model,
      ANTHROPIC_DEFAULT_OPUS_MODEL: model,
      ANTHROPIC_DEFAULT_SONNET_MODEL: model,
      ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
      ANTHROPIC_SMALL_FAST_MODEL: model,
      CLAUDE_CODE_SUBAGENT_MODEL: model,
      CLAUDE_CODE_USE_BEDROCK: undefined,
      CLAUDE_CODE_USE_VERTEX: undefined,
      // A line that changes with each request, in front of the prompt.
      CLAUDE_CODE_ATTRIBUTION_HEADER: '0',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    }),
  },
  /** https://developers.openai.com/codex/config-reference: it has no variables for this, and `-c` for one run. */
  codex: {
    command: 'codex',
    install: 'npm install -g @openai/codex',
    args: ({ url, model, contextLength }) =>
      Object.entries({
        model,
        model_context_window: contextLength,
        model_provider: provider,
        [`model_providers.${provider}.name`]: 'Ingot',
        [`model_providers.${provider}.base_url`]: `${url}/v1`,
        [`model_providers.${provider}.env_key`]: keyVariable,
        [`model_providers.${provider}.wire_api`]: 'responses',
      }).flatMap(([name, value]) => ['-c', `${name}=${JSON.stringify(value)}`]),
    environment: ({ key }) => ({ [keyVariable]: key }),
  },
  /** https://opencode.ai/docs/config */
  opencode: {
    command: 'opencode',
    install: 'npm install -g opencode-ai',
    args: () => [],
    environment: ({ url, key, model, contextLength }) => ({
      [keyVariable]: key,
      OPENCODE_CONFIG_CONTENT: JSON.stringify({
        $schema: 'https://opencode.ai/config.json',
        model: `${provider}/${model}`,
        small_model: `${provider}/${model}`,
        provider: {
          [provider]: {
            npm: '@ai-sdk/openai-compatible',
            name: 'Ingot',
            options: { baseURL: `${url}/v1`, apiKey: `{env:${keyVariable}}` },
            models: {
              [model]: {
                name: model,
                tool_call: true,
                limit: { context: contextLength, output: Math.floor(contextLength / 4) },
              },
            },
          },
        },
      }),
    }),
  },
} as const satisfies Readonly<Record<string, Agent>>;

export type AgentName = keyof typeof agents;
